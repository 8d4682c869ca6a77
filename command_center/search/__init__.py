"""The filter, pure: what it may say, whether it is right, and its meaning in SQL, in Python, in English and over time.

Nothing here awaits, reads a clock or knows a database: moments and facts are handed in.
"""
