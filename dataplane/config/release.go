package config

// cannot refuses what version 1 of the file has and this release cannot run.
// To accept it in silence would let a user believe that it runs.
func (d *decoder) cannot() {
	refuse := func(path, what, accepted string) {
		at := d.places[path]
		d.doc.Add(at, what+" not in this release", accepted)
	}
	if len(d.Tunnels) > 0 {
		refuse("tunnels", "tunnels are", "leave tunnels out; ports with MACsec")
	}
}
