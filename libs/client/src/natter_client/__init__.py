"""The Python client of Natter: connects, stays connected, and shows every message once and in order."""
