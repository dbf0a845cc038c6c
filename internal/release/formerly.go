package release

// formerly reads the name that the app had before.
func (p *parser) formerly(r *reader, at string, n *node) any {
	if r.draws(formSchema(nameForm, "the name of an app")) {
		return nil
	}
	name, ok := written(nameForm, "the name of an app")(r, at, n).(string)
	switch {
	case !ok:
	case !ValidApp(name):
		r.wrong(n.line, "write the name of the directory that the app had", "%s: %s is not the name of an app", at, show(name))
	case name == p.rel.App:
		r.wrong(n.line, "remove it, or write the name that the app had before", "%s: %s is the app's own name", at, show(name))
	default:
		p.rel.Formerly, p.rel.FormerlyLine = name, n.line
	}
	return nil
}
