"""What the faces share: the verbs, their routes, problems and limits."""
