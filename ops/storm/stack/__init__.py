"""The stack under test in a storm, and its disk."""
