"""
Agents: graphs of actions, run with langgraph, that answer instead of the plain chain.

`registry` knows which there are, `run` runs one, `graph` describes one,
`router` is the built-in one. langgraph is loaded with the first that is used.
"""
