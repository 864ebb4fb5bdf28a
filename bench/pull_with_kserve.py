"""What KServe's own storage initializer does: `Storage.download`, for the scheme oci (oci+fetch in a storageUri).

`python pull_with_kserve.py oci://HOST/REPOSITORY:TAG DESTINATION`, in an environment that has kserve-storage.
"""

import sys

from kserve_storage import Storage  # type: ignore[import-not-found,unused-ignore]

if __name__ == "__main__":
    Storage.download(sys.argv[1], sys.argv[2])
