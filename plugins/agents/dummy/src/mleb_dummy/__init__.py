"""An agent that hands in the sample submission and checks what it can and cannot see."""
