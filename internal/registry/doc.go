// Package registry reads what OCI registries hold about an image that is named by its
// digest: attestations that were attached to it, and what its manifest says.
//
// What it does not do: it verifies no signature, pulls no layer of an image, writes
// nothing, and keeps nothing between two calls.
//
// Invariants, each with a test:
//   - a registry is never believed: what is named by a digest is hashed again, and what
//     is only named by a tag or listed by the registry is data about which a signature
//     decides. A registry can withhold, and nothing else;
//   - everything is bounded: manifests, envelopes, their sum and number, redirects,
//     response heads, and the whole call in time;
//   - credentials go to the registry that they are for, and to the token service that it
//     names over TLS; never along a redirect to another host, and never without TLS
//     except to this machine itself.
//
// Attestations are looked for in three places, and all that is found is returned: the
// referrers API, the index under the fallback tag sha256-<hex>, and cosign's older tag
// sha256-<hex>.att. What the lists say about their entries (artifactType, annotations)
// is not asked: registries fill it in wrongly. Each manifest is opened instead.
//
// New starts nothing; every call ends with its context or its timeout. A crash leaves
// nothing behind.
package registry
