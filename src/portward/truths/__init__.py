"""What the verbs need of the live, the declared and the leased truth: each is read here, from its files, sockets or store."""
