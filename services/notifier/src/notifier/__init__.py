"""Turns deliveries that reached no device into pushes: take, write down, decide late, hand over, record."""
