/* SPDX-License-Identifier: GPL-2.0 */
/* Which application a side's first payload speaks; the stricter of two that could be mistaken goes first. */
#pragma once

#include "dns_message.h"
#include "http.h"
#include "kafka.h"
#include "mongodb.h"
#include "mysql.h"
#include "postgresql.h"
#include "redis.h"
#include "ssh.h"
#include "telnet.h"
#include "tls.h"
#include "zookeeper.h"

/* Global: the verifier walks it once, whatever its callers look like. */
__noinline int identify(const struct payload *p, __u32 is_tcp)
{
	if (!p)
		return APPLICATION_UNKNOWN;
	if (!is_tcp)
		return is_dns(p, false) ? APPLICATION_DNS : APPLICATION_UNKNOWN;
	if (is_tls(p))
		return APPLICATION_HTTPS;
	if (is_http(p))
		return APPLICATION_HTTP;
	if (is_ssh(p))
		return APPLICATION_SSH;
	if (is_redis(p))
		return APPLICATION_REDIS;
	if (is_mysql(p))
		return APPLICATION_MYSQL;
	if (is_postgresql(p))
		return APPLICATION_POSTGRESQL;
	if (is_zookeeper(p))
		return APPLICATION_ZOOKEEPER;
	if (is_mongodb(p))
		return APPLICATION_MONGODB;
	if (is_kafka(p))
		return APPLICATION_KAFKA;
	if (is_dns(p, true))
		return APPLICATION_DNS;
	return is_telnet(p) ? APPLICATION_TELNET : APPLICATION_UNKNOWN;
}
