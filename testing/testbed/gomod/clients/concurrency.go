// The package concurrency: sessions, locks, elections, software transactional memory; and what happens to all of
// it when the leader dies.
package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

func (s *session) open() *concurrency.Session {
	opened, err := concurrency.NewSession(s.client, concurrency.WithTTL(30), concurrency.WithContext(s.ctx))
	check("open a session", err)
	return opened
}

func mutex(s *session) {
	first, second := s.open(), s.open()
	one, two := concurrency.NewMutex(first, "m"), concurrency.NewMutex(second, "m")
	check("lock", one.Lock(s.ctx))
	said("try to lock what is locked", two.TryLock(s.ctx))
	got := make(chan error)
	go func() { got <- two.Lock(s.ctx) }()
	// It waits: two keys stand under the lock's name.
	for waiting := int64(0); waiting < 2; {
		keys, err := s.client.Get(s.ctx, "m/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		check("count those who wait", err)
		waiting = keys.Count
	}
	owned, err := s.client.Txn(s.ctx).If(one.IsOwner()).Commit()
	check("ask for the owner", err)
	fmt.Printf("first owns it: %v\n", owned.Succeeded)
	// The end of a session gives up its locks.
	check("close the first session", first.Close())
	check("lock after it", <-got)
	owned, err = s.client.Txn(s.ctx).If(two.IsOwner()).Commit()
	check("ask for the owner", err)
	fmt.Printf("second owns it: %v\n", owned.Succeeded)
	check("unlock", two.Unlock(s.ctx))
	check("close the second session", second.Close())
}

func election(s *session) {
	first, second := s.open(), s.open()
	one, two := concurrency.NewElection(first, "e"), concurrency.NewElection(second, "e")
	_, err := two.Leader(s.ctx)
	said("nobody leads", err)
	check("campaign", one.Campaign(s.ctx, "one"))
	watching, stop := context.WithCancel(s.ctx)
	seen := one.Observe(watching)
	fmt.Printf("leads: %s\n", (<-seen).Kvs[0].Value)
	check("proclaim", one.Proclaim(s.ctx, "one again"))
	fmt.Printf("leads: %s\n", (<-seen).Kvs[0].Value)
	said("proclaim without leading", two.Proclaim(s.ctx, "two"))
	won := make(chan error)
	go func() { won <- two.Campaign(s.ctx, "two") }()
	check("resign", one.Resign(s.ctx))
	check("campaign after it", <-won)
	fmt.Printf("leads: %s\n", (<-seen).Kvs[0].Value)
	stop()
	check("close the second session", second.Close())
	check("close the first session", first.Close())
}

// memory has many clients count up one value: each step is seen once.
func memory(s *session) {
	const clients, steps = 4, 10
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for range steps {
				_, err := concurrency.NewSTM(s.client, func(stm concurrency.STM) error {
					n, _ := strconv.Atoi(stm.Get("stm/n"))
					stm.Put("stm/n", strconv.Itoa(n+1))
					return nil
				}, concurrency.WithAbortContext(s.ctx))
				check("count up", err)
			}
		})
	}
	group.Wait()
	got, err := s.client.Get(s.ctx, "stm/n")
	check("get", err)
	fmt.Printf("counted to %s in %d versions\n", got.Kvs[0].Value, got.Kvs[0].Version)
}

// leaderLost has the leader killed: the watch goes on without a gap, the session and its lock live.
func leaderLost(s *session) {
	held := s.open()
	lock := concurrency.NewMutex(held, "held")
	check("lock", lock.Lock(s.ctx))
	events := s.client.Watch(clientv3.WithRequireLeader(s.ctx), "f/", clientv3.WithPrefix())
	s.persist("f/n", "1")
	next(events, 1, func(int) {
		s.ask("kill the leader")
		s.persist("f/n", "2")
		s.persist("f/n", "3")
	})
	next(events, 2, nil)
	owned, err := s.client.Txn(s.ctx).If(lock.IsOwner()).Commit()
	check("ask for the owner", err)
	select {
	case <-held.Done():
		fmt.Println("the session ended")
	default:
		fmt.Printf("the session lives; the lock is held: %v\n", owned.Succeeded)
	}
	s.ask("start it again")
	check("close the session", held.Close())
}

// persist puts until it is acknowledged. A put is done once only: the version would tell.
func (s *session) persist(key, value string) {
	for {
		try, cancel := context.WithTimeout(s.ctx, 3*time.Second)
		got, err := s.client.Get(try, key)
		if err == nil && len(got.Kvs) > 0 && string(got.Kvs[0].Value) == value {
			cancel()
			return
		}
		if err == nil {
			_, err = s.client.Put(try, key, value)
		}
		cancel()
		if err == nil {
			return
		}
		check("persist "+key, s.ctx.Err())
	}
}
