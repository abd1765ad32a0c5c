package azure

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Rewrite changes the JSON of good answers: numbers are json.Number, a list has
// its items in "value" and the next page's address in "nextLink".
func Rewrite(name string, change func(c *Cloud, call Call, doc map[string]any)) Effect {
	return Effect{name, func(x *exchange, next func() *reply) *reply {
		p := next()
		if p == nil || p.status != http.StatusOK {
			return p
		}
		doc := map[string]any{}
		d := json.NewDecoder(bytes.NewReader(p.body))
		d.UseNumber()
		if err := d.Decode(&doc); err != nil {
			return p // another fault has been here
		}
		change(x.cloud, *x.request.call, doc)
		lie := answer(p.status, doc)
		lie.header, lie.cut, lie.pad = p.header, p.cut, p.pad
		return lie
	}}
}

// OtherValue answers a get with another value than the version has.
func OtherValue(value string) Effect {
	return Rewrite("other value", func(_ *Cloud, _ Call, doc map[string]any) {
		if _, ok := doc["value"].(string); ok {
			doc["value"] = value
		}
	})
}

// WrongID answers with the id of another version.
func WrongID(version string) Effect {
	return Rewrite("wrong id", func(_ *Cloud, call Call, doc map[string]any) {
		if id, ok := doc["id"].(string); ok {
			at := strings.Index(id, "/secrets/")
			doc["id"] = id[:at] + "/secrets/" + call.Secret + "/" + version
		}
	})
}

// Swap answers a get of either secret with the latest value of the other.
func Swap(a, b string) Effect {
	return Rewrite("swap", func(c *Cloud, call Call, doc map[string]any) {
		other := map[string]string{strings.ToLower(a): b, strings.ToLower(b): a}[strings.ToLower(call.Secret)]
		_, has := doc["value"].(string)
		if s, ok := c.Secret(other); ok && has {
			doc["value"] = s.find("").Value
		}
	})
}

// Omit leaves versions out of lists, all if none is named.
func Omit(versions ...string) Effect {
	return Rewrite("omit", func(_ *Cloud, _ Call, doc map[string]any) {
		items, ok := doc["value"].([]any)
		if !ok {
			return
		}
		doc["value"] = slices.DeleteFunc(items, func(item any) bool {
			id, _ := item.(map[string]any)["id"].(string)
			return len(versions) == 0 || slices.Contains(versions, id[strings.LastIndex(id, "/")+1:])
		})
	})
}

// Retag answers with tags changed: "" removes one. In lists it is those of every
// item.
func Retag(tags map[string]string) Effect {
	retag := func(item map[string]any) {
		now, _ := item["tags"].(map[string]any)
		if now = maps.Clone(now); now == nil {
			now = map[string]any{}
		}
		for k, v := range tags {
			if now[k] = v; v == "" {
				delete(now, k)
			}
		}
		item["tags"] = now
	}
	return Rewrite("retag", func(_ *Cloud, _ Call, doc map[string]any) {
		items, ok := doc["value"].([]any)
		if !ok {
			retag(doc)
		}
		for _, item := range items {
			if m, ok := item.(map[string]any); ok {
				retag(m)
			}
		}
	})
}

// Endless gives every page of a list a next one, which is the first again.
func Endless() Effect {
	return Effect{"endless", func(x *exchange, next func() *reply) *reply {
		q := x.request
		return Rewrite("endless", func(_ *Cloud, _ Call, doc map[string]any) {
			if _, ok := doc["value"].([]any); ok {
				doc["nextLink"] = fmt.Sprintf("%s%s?api-version=%s&loop=%s", q.base(), q.http.URL.Path,
					q.http.URL.Query().Get("api-version"), randomID())
			}
		}).do(x, next)
	}}
}
