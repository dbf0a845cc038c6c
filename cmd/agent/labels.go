package main

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/tealops/teal/internal/release"
)

// HostLabels are what the host says of itself for the placement of apps and services. A
// value is the text as it is written: yes, 1 and "yes" are texts.
type HostLabels map[string]string

// maxLabels bounds the labels of one host.
const maxLabels = 64

// UnmarshalYAML takes each label from its node, so that a malformed one is named with
// its line.
func (l *HostLabels) UnmarshalYAML(n *yaml.Node) error {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		*l = nil
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: labels: write label: value lines", n.Line)
	}
	out := HostLabels{}
	var errs []error
	bad := func(line int, format string, args ...any) {
		errs = append(errs, fmt.Errorf("line %d: labels: %s", line, fmt.Sprintf(format, args...)))
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		_, twice := out[key.Value]
		switch problem := release.LabelProblem(key.Value, value.Value); {
		case key.Kind != yaml.ScalarNode || value.Kind != yaml.ScalarNode || key.Tag == "!!merge":
			bad(key.Line, "write one plain value for each label")
		case problem != "":
			bad(key.Line, "%s", problem)
		case twice:
			bad(key.Line, "%s is there twice", key.Value)
		case len(out) == maxLabels:
			bad(key.Line, "more than %d labels", maxLabels)
			return errors.Join(errs...)
		default:
			out[key.Value] = value.Value
		}
	}
	*l = out
	return errors.Join(errs...)
}
