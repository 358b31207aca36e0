"""The work of the verbs: what takes more than a few lines of `ward`. A module for each verb, or for each family of them."""
