"""The storage of proofs of payment: a folder, or a bucket of an object store.

A proof never changes once it is stored. The payment that names its key is recorded after that. If
that fails, the proof is removed, or swept later. Keys are random, so no store has to refuse a key
that exists.
"""
