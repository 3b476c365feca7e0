"""`porchflow render`: the package in a folder, rendered as a PackageRevision's is."""
