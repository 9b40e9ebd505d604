"""End to end and from outside: the demo and the measurements. Nothing here is part of the product."""
