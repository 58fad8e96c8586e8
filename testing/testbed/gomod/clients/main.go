// Plays a session of etcd's own Go client against a cluster and prints what it saw, one line a step.
//
//	clients ENDPOINT,ENDPOINT,... < LINES
//
// What differs between two runs by nature (IDs of leases and members) is not printed. A line "? words" asks the
// caller for something and is followed by the wait for a line on standard input.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// limit is for the whole session: one that hangs is a failure.
const limit = 90 * time.Second

type session struct {
	ctx    context.Context
	client *clientv3.Client
	input  *bufio.Scanner
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "give the endpoints, with commas between them")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	endpoints := strings.Split(os.Args[1], ",")
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second})
	check("connect", err)
	defer client.Close()
	s := &session{ctx: ctx, client: client, input: bufio.NewScanner(os.Stdin)}
	for _, part := range []struct {
		name string
		play func(*session)
	}{
		{"keys", keys},
		{"transactions", transactions},
		{"leases", leases},
		{"watching", watching},
		{"mutex", mutex},
		{"election", election},
		{"memory", memory},
		{"leader lost", leaderLost},
		{"users", func(s *session) { users(s, endpoints) }},
	} {
		fmt.Printf("== %s\n", part.name)
		part.play(s)
	}
}

// check ends the session with what was being done.
func check(doing string, err error) {
	if err != nil {
		fmt.Printf("FAILED to %s: %v\n", doing, err)
		os.Exit(1)
	}
}

// said prints an outcome that both servers must word alike.
func said(doing string, err error) {
	fmt.Printf("%s: %v\n", doing, err)
}

// pair is one key with all there is about it; protobuf's own text differs from build to build.
func pair(kv *mvccpb.KeyValue) string {
	if kv == nil {
		return "nothing"
	}
	return fmt.Sprintf("%s=%s created %d, changed %d, version %d", kv.Key, kv.Value, kv.CreateRevision, kv.ModRevision, kv.Version)
}

func pairs(kvs []*mvccpb.KeyValue) string {
	var all []string
	for _, kv := range kvs {
		all = append(all, pair(kv))
	}
	return "[" + strings.Join(all, "; ") + "]"
}

// ask has the caller do something, and waits until it has.
func (s *session) ask(what string) {
	fmt.Printf("? %s\n", what)
	if !s.input.Scan() {
		fmt.Println("FAILED: nobody answers")
		os.Exit(1)
	}
}

func keys(s *session) {
	c, ctx := s.client, s.ctx
	for _, key := range []string{"k/a", "k/b", "k/c"} {
		put, err := c.Put(ctx, key, "1")
		check("put", err)
		fmt.Printf("put %s at %d\n", key, put.Header.Revision)
	}
	again, err := c.Put(ctx, "k/a", "2", clientv3.WithPrevKV())
	check("put again", err)
	fmt.Printf("before: %s\n", pair(again.PrevKv))
	for _, option := range []struct {
		name string
		ops  []clientv3.OpOption
	}{
		{"prefix", []clientv3.OpOption{clientv3.WithPrefix()}},
		{"descending, two", []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithLimit(2), clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend)}},
		{"count", []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithCountOnly()}},
		{"keys only", []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithKeysOnly()}},
		{"serializable, of the past", []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithRev(again.Header.Revision - 1), clientv3.WithSerializable()}},
		{"changed last", clientv3.WithLastRev()},
	} {
		got, err := c.Get(ctx, "k/", option.ops...)
		check(option.name, err)
		fmt.Printf("%s: %d, more %v: %s\n", option.name, got.Count, got.More, pairs(got.Kvs))
	}
	gone, err := c.Delete(ctx, "k/b", clientv3.WithPrevKV())
	check("delete", err)
	fmt.Printf("deleted %d: %s\n", gone.Deleted, pairs(gone.PrevKvs))
	_, err = c.Put(ctx, "", "x")
	said("put without a key", err)
	_, err = c.Get(ctx, "k/a", clientv3.WithRev(1_000_000))
	said("read the future", err)
	_, err = c.Compact(ctx, gone.Header.Revision)
	check("compact", err)
	_, err = c.Get(ctx, "k/a", clientv3.WithRev(2))
	said("read the compacted past", err)
}

func transactions(s *session) {
	c, ctx := s.client, s.ctx
	for _, version := range []int64{0, 1} {
		done, err := c.Txn(ctx).
			If(clientv3.Compare(clientv3.Version("t/a"), "=", version-version)).
			Then(clientv3.OpPut("t/a", "made"), clientv3.OpTxn(
				[]clientv3.Cmp{clientv3.Compare(clientv3.Value("k/a"), "=", "2")},
				[]clientv3.Op{clientv3.OpGet("k/a")}, nil)).
			Else(clientv3.OpGet("t/a"), clientv3.OpDelete("t/", clientv3.WithPrefix())).
			Commit()
		check("commit", err)
		fmt.Printf("succeeded %v: %v\n", done.Succeeded, describe(done))
	}
	_, err := c.Txn(ctx).Then(clientv3.OpPut("t/x", "1"), clientv3.OpPut("t/x", "2")).Commit()
	said("put twice", err)
}

// describe leaves headers out.
func describe(done *clientv3.TxnResponse) string {
	var parts []string
	for _, r := range done.Responses {
		switch {
		case r.GetResponsePut() != nil:
			parts = append(parts, "put")
		case r.GetResponseRange() != nil:
			parts = append(parts, fmt.Sprintf("range %s", pairs(r.GetResponseRange().Kvs)))
		case r.GetResponseDeleteRange() != nil:
			parts = append(parts, fmt.Sprintf("deleted %d", r.GetResponseDeleteRange().Deleted))
		case r.GetResponseTxn() != nil:
			parts = append(parts, "nested "+describe((*clientv3.TxnResponse)(r.GetResponseTxn())))
		}
	}
	return strings.Join(parts, "; ")
}

func leases(s *session) {
	c, ctx := s.client, s.ctx
	lease, err := c.Grant(ctx, 60)
	check("grant", err)
	for _, key := range []string{"l/a", "l/b"} {
		_, err = c.Put(ctx, key, "x", clientv3.WithLease(lease.ID))
		check("put with a lease", err)
	}
	alive, stop := context.WithCancel(ctx)
	answers, err := c.KeepAlive(alive, lease.ID)
	check("keep alive", err)
	fmt.Printf("kept alive for %d\n", (<-answers).TTL)
	stop()
	left, err := c.TimeToLive(ctx, lease.ID, clientv3.WithAttachedKeys())
	check("ask the time to live", err)
	sort.Slice(left.Keys, func(i, j int) bool { return string(left.Keys[i]) < string(left.Keys[j]) })
	fmt.Printf("granted %d: %s\n", left.GrantedTTL, left.Keys)
	_, err = c.Revoke(ctx, lease.ID)
	check("revoke", err)
	got, err := c.Get(ctx, "l/", clientv3.WithPrefix())
	check("get", err)
	fmt.Printf("left: %d\n", got.Count)
	_, err = c.KeepAliveOnce(ctx, lease.ID)
	said("keep alive what is revoked", err)
	short, err := c.Grant(ctx, 2)
	check("grant a short one", err)
	ended := c.Watch(ctx, "l/short")
	_, err = c.Put(ctx, "l/short", "x", clientv3.WithLease(short.ID))
	check("put with a short lease", err)
	next(ended, 2, nil)
}

// next prints the events of a watch, n of them.
func next(events clientv3.WatchChan, n int, between func(seen int)) {
	for seen := 0; seen < n; {
		response, open := <-events
		if !open || response.Err() != nil {
			fmt.Printf("FAILED to watch: open %v, %v\n", open, response.Err())
			os.Exit(1)
		}
		for _, e := range response.Events {
			seen++
			fmt.Printf("%s %s=%s, version %d, before %s\n", e.Type, e.Kv.Key, e.Kv.Value, e.Kv.Version, pair(e.PrevKv))
			if between != nil {
				between(seen)
			}
		}
	}
}

func watching(s *session) {
	c, ctx := s.client, s.ctx
	first, err := c.Put(ctx, "w/a", "1")
	check("put", err)
	for _, value := range []string{"2", "3"} {
		_, err = c.Put(ctx, "w/a", value)
		check("put", err)
	}
	_, err = c.Delete(ctx, "w/a")
	check("delete", err)
	past := c.Watch(ctx, "w/", clientv3.WithPrefix(), clientv3.WithRev(first.Header.Revision), clientv3.WithPrevKV())
	next(past, 4, nil)
	puts := c.Watch(ctx, "w/", clientv3.WithPrefix(), clientv3.WithRev(first.Header.Revision), clientv3.WithFilterDelete())
	next(puts, 3, nil)
	gone := c.Watch(ctx, "k/", clientv3.WithPrefix(), clientv3.WithRev(2))
	response := <-gone
	fmt.Printf("watch the compacted past: compacted %v: %v\n", response.CompactRevision > 0, response.Err())
}
