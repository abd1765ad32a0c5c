package azure

import (
	"fmt"
	"maps"
	"time"
)

// Put makes a new version without a call and returns its id. It panics if the
// vault would refuse it.
func (c *Cloud) Put(name, value string, tags map[string]string, a Attributes) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := Version{Value: value, Tags: maps.Clone(tags), Attributes: a}
	p := checkName(name)
	if p == nil {
		p = v.check()
	}
	if p == nil && c.store.deleted(name) != nil {
		p = conflict(name)
	}
	if p != nil {
		panic(fmt.Sprintf("azure: put %s: %s", name, p.body))
	}
	return c.store.add(name, v, c.now()).ID
}

// Edit changes what can be changed of a version, the latest if version is "": not
// its ID and Value. It reports whether there is one.
func (c *Cloud) Edit(name, version string, edit func(*Version)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.store.live(name)
	if s == nil {
		return false
	}
	v := s.find(version)
	if v == nil {
		return false
	}
	id, value := v.ID, v.Value
	edit(v)
	v.ID, v.Value, v.Updated = id, value, c.now().Truncate(time.Second)
	return true
}

// Disable disables a version, the latest if version is "".
func (c *Cloud) Disable(name, version string) bool {
	return c.Edit(name, version, func(v *Version) { v.Disabled = true })
}

// Delete deletes a secret, softly.
func (c *Cloud) Delete(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.store.live(name)
	if s == nil {
		return false
	}
	s.Deleted = c.now().Truncate(time.Second)
	return true
}

// Secret is a copy of a secret, deleted or not.
func (c *Cloud) Secret(name string) (Secret, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.store.get(name)
	if s == nil {
		return Secret{}, false
	}
	return s.clone(), true
}
