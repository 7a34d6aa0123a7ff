"""What runs where the run happens, by the interpreter of OpenHands and without mleb: put into the agent's home."""
