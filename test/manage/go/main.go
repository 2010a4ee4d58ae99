// rabbit-hole, the Go client of the HTTP API. VHOST, QUEUE and EXCHANGE name what is there already.
package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"strings"

	rabbithole "github.com/michaelklishin/rabbit-hole/v2"
)

func check(name string, body func()) {
	defer func() {
		if why := recover(); why != nil {
			fmt.Printf("not ok %s: %s\n", name, strings.ReplaceAll(fmt.Sprint(why), "\n", " "))
		}
	}()
	body()
	fmt.Println("ok " + name)
}

func same(wanted, got any) {
	if !reflect.DeepEqual(wanted, got) {
		panic(fmt.Sprintf("%v, not %v", got, wanted))
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func status(wanted int, response *http.Response, err error) {
	if err != nil {
		panic(err)
	}
	same(wanted, response.StatusCode)
}

func find[T any](rows []T, wanted func(T) bool) T {
	for _, row := range rows {
		if wanted(row) {
			return row
		}
	}
	panic(fmt.Sprintf("not among %d rows", len(rows)))
}

func main() {
	vhost, queue, exchange := os.Getenv("VHOST"), os.Getenv("QUEUE"), os.Getenv("EXCHANGE")
	own := fmt.Sprintf("go %d", os.Getpid())
	user := own + " user"
	client := must(rabbithole.NewClient(os.Getenv("HTTP_URL"), "guest", "guest"))

	check("overview", func() {
		overview := must(client.Overview())
		if overview.RabbitMQVersion == "" || overview.Node == "" || len(overview.Listeners) == 0 {
			panic(fmt.Sprint(overview))
		}
		same(false, overview.ObjectTotals.Queues == 0)
		must(client.EnabledProtocols())
		must(client.ProtocolPorts())
	})
	check("whoami", func() {
		who := must(client.Whoami())
		same("guest", who.Name)
		same(rabbithole.UserTags{"administrator"}, who.Tags)
	})
	check("nodes", func() {
		nodes := must(client.ListNodes())
		same(true, nodes[0].IsRunning)
		same(nodes[0].Name, must(client.GetNode(nodes[0].Name)).Name)
		same(true, nodes[0].Uptime > 0)
	})
	check("connections", func() {
		row := find(must(client.ListConnections()), func(c rabbithole.ConnectionInfo) bool { return c.Vhost == vhost })
		same(row.Name, must(client.GetConnection(row.Name)).Name)
		same("the world", row.ClientProperties["connection_name"])
		same(1, len(must(client.ListVhostConnections(vhost))))
	})
	check("channels and consumers", func() {
		row := find(must(client.ListChannels()), func(c rabbithole.ChannelInfo) bool { return c.Vhost == vhost })
		same(row.Name, must(client.GetChannel(row.Name)).Name)
		same("worker-1", must(client.ListConsumersIn(vhost))[0].ConsumerTag)
		must(client.ListConsumers())
	})
	check("vhosts", func() {
		response, err := client.PutVhost(own, rabbithole.VhostSettings{Description: "described", Tags: rabbithole.VhostTags{"one", "two"}, Tracing: false})
		status(201, response, err)
		info := must(client.GetVhost(own))
		same("described", info.Description)
		same(rabbithole.VhostTags{"one", "two"}, info.Tags)
		response, err = client.PutVhost(own, rabbithole.VhostSettings{Description: "again"})
		status(204, response, err)
		find(must(client.ListVhosts()), func(v rabbithole.VhostInfo) bool { return v.Name == own })
	})
	check("users and permissions", func() {
		response, err := client.PutUser(user, rabbithole.UserSettings{Password: "secret", Tags: rabbithole.UserTags{"management", "policymaker"}})
		status(201, response, err)
		same(rabbithole.UserTags{"management", "policymaker"}, must(client.GetUser(user)).Tags)
		find(must(client.ListUsers()), func(u rabbithole.UserInfo) bool { return u.Name == user })
		response, err = client.UpdatePermissionsIn(own, user, rabbithole.Permissions{Configure: "^c", Write: "^w", Read: "^r"})
		status(201, response, err)
		same("^w", must(client.GetPermissionsIn(own, user)).Write)
		same(1, len(must(client.ListPermissionsOf(user))))
		must(client.ListPermissions())
		response, err = client.UpdateTopicPermissionsIn(own, user, rabbithole.TopicPermissions{Exchange: "amq.topic", Write: "^w", Read: "^r"})
		status(201, response, err)
		same("amq.topic", must(client.GetTopicPermissionsIn(own, user))[0].Exchange)
		response, err = client.DeleteTopicPermissionsIn(own, user, "amq.topic")
		status(204, response, err)
		response, err = client.ClearPermissionsIn(own, user)
		status(204, response, err)
	})
	check("exchanges", func() {
		response, err := client.DeclareExchange(own, "x", rabbithole.ExchangeSettings{Type: "topic", Durable: true})
		status(201, response, err)
		same("topic", must(client.GetExchange(own, "x")).Type)
		find(must(client.ListExchangesIn(vhost)), func(x rabbithole.ExchangeInfo) bool { return x.Name == exchange })
		must(client.ListExchanges())
	})
	check("queues", func() {
		response, err := client.DeclareQueue(own, "q", rabbithole.QueueSettings{Durable: true, Arguments: map[string]any{"x-max-length": 10}})
		status(201, response, err)
		response, err = client.DeclareQueue(own, "q", rabbithole.QueueSettings{Durable: true, Arguments: map[string]any{"x-max-length": 10}})
		status(204, response, err)
		same(float64(10), must(client.GetQueue(own, "q")).Arguments["x-max-length"])
		info := find(must(client.ListQueuesIn(vhost)), func(q rabbithole.QueueInfo) bool { return q.Name == queue })
		same(5, info.Messages)
		page := must(client.PagedListQueuesWithParametersIn(vhost, url.Values{"page": {"1"}, "page_size": {"1"}}))
		same([]int{1, 1, 2}, []int{page.Page, page.ItemCount, page.PageCount})
		must(client.ListQueues())
	})
	check("a queue with samples", func() {
		info := must(client.GetQueueWithParameters(vhost, queue, url.Values{"lengths_age": {"60"}, "lengths_incr": {"5"}, "msg_rates_age": {"60"}, "msg_rates_incr": {"5"}}))
		same(1, len(*info.ConsumerDetails))
	})
	check("bindings", func() {
		binding := rabbithole.BindingInfo{Source: "x", Vhost: own, Destination: "q", DestinationType: "queue", RoutingKey: "k.#", Arguments: map[string]any{"n": 1}}
		response, err := client.DeclareBinding(own, binding)
		status(201, response, err)
		parts := strings.Split(response.Header.Get("Location"), "/")
		key := must(url.PathUnescape(parts[len(parts)-1]))
		made := must(client.ListQueueBindingsBetween(own, "x", "q"))[0]
		same(key, made.PropertiesKey)
		same("k.#", made.RoutingKey)
		same(1, len(must(client.ListExchangeBindingsWithSource(own, "x"))))
		same(2, len(must(client.ListQueueBindings(own, "q"))))
		response, err = client.DeleteBinding(own, made)
		status(204, response, err)
		same(0, len(must(client.ListQueueBindingsBetween(own, "x", "q"))))
		binding = rabbithole.BindingInfo{Source: "x", Vhost: own, Destination: "amq.fanout", DestinationType: "exchange", RoutingKey: "k"}
		response, err = client.DeclareBinding(own, binding)
		status(201, response, err)
		same(1, len(must(client.ListExchangeBindingsBetween(own, "x", "amq.fanout"))))
		same(1, len(must(client.ListExchangeBindingsWithDestination(own, "amq.fanout"))))
		must(client.ListBindings())
		must(client.ListBindingsIn(own))
	})
	check("policies", func() {
		policy := rabbithole.Policy{Pattern: "^q", ApplyTo: "queues", Priority: 2, Definition: rabbithole.PolicyDefinition{"max-length": 5}}
		response, err := client.PutPolicy(own, "p", policy)
		status(201, response, err)
		same(2, must(client.GetPolicy(own, "p")).Priority)
		same(1, len(must(client.ListPoliciesIn(own))))
		response, err = client.DeletePolicy(own, "p")
		status(204, response, err)
		operator := rabbithole.OperatorPolicy{Pattern: "^q", ApplyTo: "queues", Priority: 2, Definition: rabbithole.PolicyDefinition{"max-length": 5}}
		response, err = client.PutOperatorPolicy(own, "p", operator)
		status(201, response, err)
		same("^q", must(client.GetOperatorPolicy(own, "p")).Pattern)
		response, err = client.DeleteOperatorPolicy(own, "p")
		status(204, response, err)
	})
	check("limits", func() {
		response, err := client.PutVhostLimits(own, rabbithole.VhostLimitsValues{"max-queues": 9})
		status(204, response, err)
		same(9, must(client.GetVhostLimits(own))[0].Value["max-queues"])
		must(client.GetAllVhostLimits())
		response, err = client.DeleteVhostLimits(own, rabbithole.VhostLimits{"max-queues"})
		status(204, response, err)
		response, err = client.PutUserLimits(user, rabbithole.UserLimitsValues{"max-channels": 9})
		status(204, response, err)
		same(9, must(client.GetUserLimits(user))[0].Value["max-channels"])
		must(client.GetAllUserLimits())
		response, err = client.DeleteUserLimits(user, rabbithole.UserLimits{"max-channels"})
		status(204, response, err)
	})
	check("parameters", func() {
		response, err := client.PutGlobalParameter("go", map[string]any{"a": 1})
		status(201, response, err)
		same("go", must(client.GetGlobalParameter("go")).Name)
		must(client.ListGlobalParameters())
		response, err = client.DeleteGlobalParameter("go")
		status(204, response, err)
		must(client.ListRuntimeParameters())
		same(1, len(must(client.ListRuntimeParametersIn("operator_policy", vhost))))
	})
	check("cluster name, features and definitions", func() {
		name := must(client.GetClusterName())
		response, err := client.SetClusterName(*name)
		status(204, response, err)
		flags := must(client.ListFeatureFlags())
		response, err = client.EnableFeatureFlag(flags[0].Name)
		status(204, response, err)
		definitions := must(client.ListDefinitions())
		same(true, definitions.Queues != nil && len(*definitions.Queues) > 0)
		response, err = client.UploadDefinitions(&rabbithole.ExportedDefinitions{Vhosts: definitions.Vhosts, Queues: definitions.Queues})
		if err != nil || response.StatusCode >= 300 {
			panic(fmt.Sprint(err, response))
		}
		must(client.ListVhostDefinitions(vhost))
	})
	check("health", func() {
		alarms := must(client.HealthCheckAlarms())
		same(true, alarms.Ok())
		local := must(client.HealthCheckLocalAlarms())
		same(true, local.Ok())
		hosts := must(client.HealthCheckVirtualHosts())
		same(true, hosts.Ok())
		critical := must(client.HealthCheckNodeIsQuorumCritical())
		same(true, critical.Ok())
		expiry := must(client.HealthCheckCertificateExpiration(1, rabbithole.DAYS))
		same(true, expiry.Ok())
		port := must(client.HealthCheckPortListener(uint(must(strconv.Atoi(os.Getenv("AMQP_PORT"))))))
		same(true, port.Ok())
		protocol := must(client.HealthCheckProtocolListener(rabbithole.AMQP))
		same(true, protocol.Ok())
	})
	check("health that failed", func() {
		port, err := client.HealthCheckPortListener(1)
		if err != nil {
			panic(err)
		}
		same(false, port.Ok())
		same(uint(1), port.Missing)
	})
	check("errors", func() {
		_, err := client.GetQueue(own, "nosuch")
		var response rabbithole.ErrorResponse
		same(true, errors.As(err, &response))
		same(404, response.StatusCode)
		_, err = client.DeclareQueue(own, "q", rabbithole.QueueSettings{Durable: false})
		same(true, errors.As(err, &response))
		same(400, response.StatusCode)
		same(true, strings.Contains(response.Reason, "inequivalent arg 'durable'"))
	})
	check("deletions", func() {
		response, err := client.PurgeQueue(own, "q")
		status(204, response, err)
		response, err = client.DeleteQueue(own, "q", rabbithole.QueueDeleteOptions{IfEmpty: true, IfUnused: true})
		status(204, response, err)
		response, err = client.DeleteExchange(own, "x")
		status(204, response, err)
		response, err = client.DeleteUser(user)
		status(204, response, err)
		response, err = client.DeleteVhost(own)
		status(204, response, err)
		_, err = client.DeleteVhost(own)
		if err != nil {
			panic(err)
		}
	})
}
