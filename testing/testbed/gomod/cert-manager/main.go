// Runs cert-manager's own controllers for Certificates and for issuers of the kinds SelfSigned and CA, as its
// controller program would; without those for ACME, Vault and Venafi, which need services that tests have not.
//
//	cert-manager KUBECONFIG
//
// Says "running" on its output once the caches are full, and runs until it is interrupted.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	ca "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	selfsigned "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	"github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	"github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
)

var names = []string{
	approver.ControllerName, ca.CRControllerName, selfsigned.CRControllerName,
	issuing.ControllerName, keymanager.ControllerName, readiness.ControllerName, requestmanager.ControllerName,
	revisionmanager.ControllerName, trigger.ControllerName, clusterissuers.ControllerName, issuers.ControllerName,
}

func main() {
	if len(os.Args) != 2 {
		fail("give one file, a kubeconfig")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	factory, err := controller.NewContextFactory(ctx, controller.ContextOptions{
		Kubeconfig:    os.Args[1],
		IssuerOptions: controller.IssuerOptions{ClusterResourceNamespace: "cert-manager"},
		CertificateOptions: controller.CertificateOptions{
			CertificateRequestMinimumBackoffDuration: time.Second,
			CertificateRequestMaximumBackoffDuration: time.Minute,
		},
	})
	if err != nil {
		fail(err.Error())
	}
	shared, err := factory.Build()
	if err != nil {
		fail(err.Error())
	}
	var running sync.WaitGroup
	starts := []controller.Interface{}
	for _, name := range names {
		made, err := controller.Known()[name](factory)
		if err != nil {
			fail(name + ": " + err.Error())
		}
		starts = append(starts, made)
	}
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	shared.SharedInformerFactory.WaitForCacheSync(ctx.Done())
	for i, made := range starts {
		running.Go(func() {
			if err := made.Run(2, ctx); err != nil {
				fail(names[i] + ": " + err.Error())
			}
		})
	}
	fmt.Println("running")
	running.Wait()
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, "cert-manager: "+why)
	os.Exit(1)
}
