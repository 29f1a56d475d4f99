"""Jobs on payments, each safe to run twice."""
