"""OpenHands, once OpenDevin, as an agent of mleb."""
