"""The verbs for those who do not type each: `dashboard` in the browser, `top` in the terminal. The same calls, the same refusals."""
