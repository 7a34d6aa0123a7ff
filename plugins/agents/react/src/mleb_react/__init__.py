"""The ReAct agent."""
