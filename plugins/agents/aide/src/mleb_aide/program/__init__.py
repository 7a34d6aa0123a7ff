"""What runs where the run happens, by AIDE's interpreter and without mleb: put into the agent's home."""
