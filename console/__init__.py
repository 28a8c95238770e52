"""What people see and do: the web console, the command line, and the settings that start everything.

``console.cli`` alone reads the environment; ``console.operation`` starts the stages and sums up what they did.
"""
