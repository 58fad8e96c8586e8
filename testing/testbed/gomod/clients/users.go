// Users, roles and what they may do.
package main

import (
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func (s *session) as(endpoints []string, name, password string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints: endpoints, DialTimeout: 5 * time.Second, Username: name, Password: password, Context: s.ctx,
	})
}

// watchAs opens a watch and gives the first answer to it. A member of etcd that lags does not know a new token yet,
// and refuses it.
func (s *session) watchAs(client *clientv3.Client, prefix string) (clientv3.WatchChan, clientv3.WatchResponse) {
	for {
		events := client.Watch(s.ctx, prefix, clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithCreatedNotify())
		first := <-events
		if !strings.Contains(fmt.Sprint(first.Err()), "invalid auth token") {
			return events, first
		}
	}
}

func users(s *session, endpoints []string) {
	c, ctx := s.client, s.ctx
	_, err := c.AuthEnable(ctx)
	said("enable without root", err)
	for _, name := range []string{"root", "alice"} {
		_, err = c.UserAdd(ctx, name, name)
		check("add a user", err)
	}
	_, err = c.UserAdd(ctx, "alice", "alice")
	said("add a user twice", err)
	_, err = c.RoleAdd(ctx, "reader")
	check("add a role", err)
	_, err = c.RoleGrantPermission(ctx, "reader", "u/", clientv3.GetPrefixRangeEnd("u/"), clientv3.PermissionType(clientv3.PermRead))
	check("grant a permission", err)
	_, err = c.UserGrantRole(ctx, "alice", "reader")
	check("grant a role", err)
	_, err = c.RoleAdd(ctx, "root")
	check("add root's role", err)
	_, err = c.UserGrantRole(ctx, "root", "root")
	check("make root root", err)
	_, err = c.AuthEnable(ctx)
	check("enable", err)
	_, err = c.Get(ctx, "u/a")
	said("read without a name", err)
	_, err = s.as(endpoints, "alice", "wrong")
	said("come with a wrong password", err)
	root, err := s.as(endpoints, "root", "root")
	check("come as root", err)
	defer root.Close()
	alice, err := s.as(endpoints, "alice", "alice")
	check("come as alice", err)
	defer alice.Close()
	_, err = root.Put(ctx, "u/a", "secret")
	check("put as root", err)
	got, err := alice.Get(ctx, "u/", clientv3.WithPrefix())
	check("read as alice", err)
	fmt.Printf("alice reads %s\n", got.Kvs[0].Value)
	_, err = alice.Put(ctx, "u/a", "1")
	said("write as alice", err)
	_, err = alice.Get(ctx, "k/a")
	said("read more as alice", err)
	_, err = alice.UserList(ctx)
	said("list users as alice", err)
	events, _ := s.watchAs(alice, "u/")
	go root.Put(ctx, "u/a", "changed")
	next(events, 1, nil)
	_, refused := s.watchAs(alice, "k/")
	fmt.Printf("watch more as alice: canceled %v: %v\n", refused.Canceled, refused.Err())
	_, err = root.AuthDisable(ctx)
	check("disable", err)
	_, err = c.Get(ctx, "u/a")
	said("read without a name again", err)
}
