"""The verbs for those who do not type them: `dashboard` in the browser. The same calls, the same documents."""
