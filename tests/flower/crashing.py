"""A module of workflows that cannot even be imported, and says why with a secret."""

import os

raise RuntimeError(f"cannot sign in with {os.environ['TEST_VAULT_TOKEN']}")
