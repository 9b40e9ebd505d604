"""Plays real dialogues through a whole Natter and checks every frame and every push: `make demo`.

corpus ─► plan ─► play (over a place: fresh stack or target) ─► evidence ─► checker, stats ─► show

corpus, plan, checker and stats are pure; play and place do the I/O; show prints.
"""
