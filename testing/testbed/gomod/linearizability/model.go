package main

import (
	"fmt"
	"strings"

	"github.com/anishathalye/porcupine"
)

// Keys of a history are numbers below this.
const keys = 16

// line is one operation. Without "returned" its outcome is unknown: it may take effect at any
// time after "called", once. Its answer may still tell the revision, if that is known otherwise.
type line struct {
	Client   int     `json:"client"`
	Called   int64   `json:"called"`
	Returned *int64  `json:"returned,omitempty"`
	Request  request `json:"request"`
	Answer   answer  `json:"answer"`
}

// request is a transaction; a put, get or delete is one without conditions.
type request struct {
	If   []condition `json:"if"`
	Then []action    `json:"then"`
	Else []action    `json:"else"`
}

type condition struct {
	Key    int    `json:"key"`
	Field  string `json:"field"` // value, mod, create or version
	Is     string `json:"is"`    // = != < >
	Number int64  `json:"number"`
	Text   string `json:"text"`
}

type action struct {
	Do    string `json:"do"` // put, get or delete
	Key   int    `json:"key"`
	Value string `json:"value"`
}

// answer is what the client was told. Revision 0: it was told nothing.
type answer struct {
	Revision  int64   `json:"revision"`
	Told      bool    `json:"told"`
	Succeeded bool    `json:"succeeded"`
	Replies   []reply `json:"replies"`
}

type reply struct {
	Found   *entry `json:"found,omitempty"`
	Deleted int64  `json:"deleted"`
}

// entry is a key's value and what etcd keeps of its history; the zero entry is no key.
type entry struct {
	Value   string `json:"value"`
	Create  int64  `json:"create"`
	Mod     int64  `json:"mod"`
	Version int64  `json:"version"`
}

// store is etcd's key space: one revision for all keys.
type store struct {
	revision int64
	entries  [keys]entry
}

func (l line) check() error {
	for _, a := range append(append([]action{}, l.Request.Then...), l.Request.Else...) {
		if a.Key < 0 || a.Key >= keys {
			return fmt.Errorf("there is no key %d", a.Key)
		}
		if a.Do != "put" && a.Do != "get" && a.Do != "delete" {
			return fmt.Errorf("there is no action %q", a.Do)
		}
	}
	for _, c := range l.Request.If {
		if c.Key < 0 || c.Key >= keys || !strings.Contains(" value mod create version ", " "+c.Field+" ") {
			return fmt.Errorf("there is no condition on %q of key %d", c.Field, c.Key)
		}
	}
	return nil
}

var model = porcupine.Model{
	// A new cluster is at revision 1.
	Init: func() interface{} { return store{revision: 1} },
	Step: func(state, input, output interface{}) (bool, interface{}) {
		return step(state.(store), input.(request), output.(answer))
	},
	DescribeOperation: func(input, output interface{}) string {
		return fmt.Sprintf("%v -> %v", input, output)
	},
	DescribeState: func(state interface{}) string { return fmt.Sprintf("%v", state) },
}

// step carries a request out, as etcd does, and says whether the answer fits.
func step(s store, r request, told answer) (bool, store) {
	holds := true
	for _, c := range r.If {
		holds = holds && c.holds(s.entries[c.Key])
	}
	if told.Told && told.Succeeded != holds {
		return false, s
	}
	actions := r.Then
	if !holds {
		actions = r.Else
	}
	if told.Told && len(told.Replies) != len(actions) {
		return false, s
	}
	// All writes of a transaction happen at one revision.
	next, wrote := s.revision+1, false
	for i, a := range actions {
		e := &s.entries[a.Key]
		var seen reply
		switch a.Do {
		case "get":
			if e.Mod != 0 {
				found := *e
				seen.Found = &found
			}
		case "put":
			if e.Mod == 0 {
				e.Create = next
			}
			e.Value, e.Mod, wrote = a.Value, next, true
			e.Version++
		case "delete":
			if e.Mod != 0 {
				*e, seen.Deleted, wrote = entry{}, 1, true
			}
		}
		if told.Told && !seen.equals(told.Replies[i]) {
			return false, s
		}
	}
	if wrote {
		s.revision = next
	}
	return told.Revision == 0 || told.Revision == s.revision, s
}

func (r reply) equals(other reply) bool {
	if r.Deleted != other.Deleted || (r.Found == nil) != (other.Found == nil) {
		return false
	}
	return r.Found == nil || *r.Found == *other.Found
}

func (c condition) holds(e entry) bool {
	var order int
	switch c.Field {
	case "value":
		// etcd: a comparison with the value of a key that is not there fails, whatever it is.
		if e.Mod == 0 {
			return false
		}
		order = strings.Compare(e.Value, c.Text)
	case "mod":
		order = compare(e.Mod, c.Number)
	case "create":
		order = compare(e.Create, c.Number)
	case "version":
		order = compare(e.Version, c.Number)
	}
	switch c.Is {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	default:
		return order > 0
	}
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}
