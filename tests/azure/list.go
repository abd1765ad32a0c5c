package azure

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// page is a part of a list on the wire.
type page struct {
	Value    []bundle `json:"value"`
	NextLink *string  `json:"nextLink"`
}

func (c *Cloud) listVersions(q *request) *reply {
	items := map[string]bundle{}
	var ids []string
	if s := c.store.live(q.call.Secret); s != nil {
		for i := range s.Versions {
			v := &s.Versions[i]
			ids = append(ids, v.ID)
			items[v.ID] = c.bundle(q.secretID(c, v.ID), v, false)
		}
	}
	slices.Sort(ids)
	return c.page(q, ids, items)
}

func (c *Cloud) listSecrets(q *request) *reply {
	names := c.store.names(false)
	items := map[string]bundle{}
	for _, n := range names {
		s := c.store.get(n)
		items[n] = c.bundle(q.base()+"/secrets/"+s.Name, s.find(""), false)
	}
	return c.page(q, names, items)
}

func (c *Cloud) listDeleted(q *request) *reply {
	names := c.store.names(true)
	items := map[string]bundle{}
	for _, n := range names {
		items[n] = c.deletedBundle(q, c.store.get(n), false)
	}
	return c.page(q, names, items)
}

// page answers with the part of the list that the call asks for. keys are sorted;
// a token names the last key of the page before, so that what comes and goes
// between two pages shifts nothing.
func (c *Cloud) page(q *request, keys []string, items map[string]bundle) *reply {
	query := q.http.URL.Query()
	size := c.opts.PageSize
	if m := query.Get("maxresults"); m != "" {
		n, err := strconv.Atoi(m)
		if err != nil || n < 1 || n > maxPage {
			return badParameter("Invalid value for maxresults: it is 1 to %d.", maxPage)
		}
		size = min(size, n)
	}
	if skip := query.Get("$skiptoken"); skip != "" {
		last, err := base64.RawURLEncoding.DecodeString(skip)
		if err != nil {
			return badParameter("Invalid skiptoken.")
		}
		at, found := slices.BinarySearch(keys, string(last))
		if found {
			at++
		}
		keys = keys[at:]
	}
	p := page{Value: []bundle{}}
	for _, k := range keys[:min(size, len(keys))] {
		p.Value = append(p.Value, items[k])
	}
	if len(keys) > size {
		next := url.Values{
			"api-version": {query.Get("api-version")}, "maxresults": {strconv.Itoa(size)},
			"$skiptoken": {base64.RawURLEncoding.EncodeToString([]byte(keys[size-1]))},
		}
		link := q.base() + q.http.URL.EscapedPath() + "?" + next.Encode()
		p.NextLink = &link
	}
	return answer(http.StatusOK, p)
}
