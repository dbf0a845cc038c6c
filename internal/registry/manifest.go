package registry

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tealops/teal/internal/trust"
)

// Media types that are read.
const (
	typeOCIManifest    = "application/vnd.oci.image.manifest.v1+json"
	typeOCIIndex       = "application/vnd.oci.image.index.v1+json"
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeBundle         = "application/vnd.dev.sigstore.bundle.v0.3+json"
	typeDSSE           = "application/vnd.dsse.envelope.v1+json"
)

// descriptor names one thing of a registry by digest.
type descriptor struct {
	MediaType string    `json:"mediaType"`
	Digest    string    `json:"digest"`
	Size      int64     `json:"size"`
	Platform  *platform `json:"platform"`
}

type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

// document is a manifest or an index; which of the two it is, is for kind to say.
type document struct {
	MediaType    string        `json:"mediaType"`
	ArtifactType string        `json:"artifactType"`
	Config       *descriptor   `json:"config"`
	Layers       []descriptor  `json:"layers"`
	Manifests    *[]descriptor `json:"manifests"`
	Subject      *descriptor   `json:"subject"`
}

// parseDocument reads a manifest as the engine does. A document that is an image to
// one reader and an index to another is refused (CVE-2021-41190).
func parseDocument(data []byte) (d document, index bool, err error) {
	if err := json.Unmarshal(data, &d); err != nil {
		return document{}, false, errors.New("the manifest is not JSON of a manifest")
	}
	if d.Manifests == nil && (d.MediaType == typeOCIIndex || d.MediaType == typeDockerIndex) {
		d.Manifests = &[]descriptor{} // some registries write null for an empty list
	}
	index = d.Manifests != nil
	switch {
	case index && (d.Config != nil || d.Layers != nil):
		return document{}, false, errors.New("the manifest is an image and an index at once")
	case !index && d.Config == nil && d.Layers == nil:
		return document{}, false, errors.New("the manifest is neither an image nor an index")
	}
	switch d.MediaType {
	case "", typeOCIIndex, typeDockerIndex: // OCI allows to leave it out
	case typeOCIManifest, typeDockerManifest:
		if index {
			return document{}, false, errors.New("the manifest says that it is an image and holds an index")
		}
	default:
		return document{}, false, fmt.Errorf("the manifest is neither an image nor an index but \"%s\"", trust.Escape(d.MediaType))
	}
	return d, index, nil
}
