"""What providers have in common: fitting text into a size, HTTP with limits, and what an answer means for a push."""
