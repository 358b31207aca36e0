"""The verbs for those who do not type each: `dashboard` in the browser, `top` in the terminal, `mcp` for agents. The same refusals."""
