"""The pilot: a small experiment on a user's own pairs, within a time that the user gives."""
