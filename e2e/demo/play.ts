// Plays the scenarios with real clients in the workload's namespace: without a rule, with one, and while it changes.
import { DEFAULT_RULE, type Threat } from '@podwall/controller/api/keyspace.ts';
import type { Command, Completed } from '../lab/command.ts';
import { Conversation } from '../lab/conversation.ts';
import { inside } from '../lab/namespace.ts';
import type { Say } from '../lab/progress.ts';
import { NO_STATUS, type RuleStatus, withAction } from '../lab/rule-folder.ts';
import { dnsQuestion } from '../lab/servers/dnsmasq.ts';
import { mariadbClient, mariadbQuery } from '../lab/servers/mariadb.ts';
import { httpsRequest, plainHttpRequest } from '../lab/servers/nginx.ts';
import { redisPing } from '../lab/servers/redis.ts';
import { poll } from '../lab/wait.ts';
import {
  DNS_IP,
  GITHUB_IP,
  MYSQL_IP,
  REDIS_IP,
  RULE,
  RULE_FILE,
  type Stage,
  TEST_NAME,
  TEST_NAME_IP,
} from './stage.ts';
import type { Section } from './table.ts';
import {
  decidingRule,
  isInAgentLog,
  judge,
  NO_RULE,
  NOT_LOGGED,
  NOT_REPORTED,
  type Row,
  type Scenario,
} from './verdict.ts';

const CLIENT_TIMEOUT_MS = 2_000;
const REPORT_TIMEOUT_MS = 10_000;

/** One client, with what becomes of it under the rule; `answer` is the server's. */
type Client = Pick<Scenario, 'name' | 'endpoint' | 'rule'> & {
  readonly command: Command;
  readonly answer: string;
  readonly isAllowed: boolean;
};

const clientsOf = ({ site }: Stage): readonly Client[] => [
  {
    name: `MySQL query to ${MYSQL_IP}`,
    endpoint: { ip: MYSQL_IP, port: 3306 },
    command: mariadbQuery(MYSQL_IP, 'SELECT 1'),
    answer: '1',
    rule: named('mysql'),
    isAllowed: true,
  },
  {
    name: `HTTPS to ${site.host}`,
    endpoint: { ip: GITHUB_IP, port: 443 },
    command: httpsRequest(site),
    answer: '200',
    rule: named('github'),
    isAllowed: true,
  },
  {
    name: `Redis PING to ${REDIS_IP}`,
    endpoint: { ip: REDIS_IP, port: 6379 },
    command: redisPing(REDIS_IP),
    answer: 'PONG',
    rule: named('redis'),
    isAllowed: false,
  },
  {
    name: `DNS query to ${DNS_IP}`,
    endpoint: { ip: DNS_IP, port: 53 },
    command: dnsQuestion(DNS_IP, TEST_NAME),
    answer: TEST_NAME_IP,
    rule: named(DEFAULT_RULE),
    isAllowed: false,
  },
  {
    name: `plain HTTP to ${GITHUB_IP}:443`,
    endpoint: { ip: GITHUB_IP, port: 443 },
    command: plainHttpRequest(site),
    answer: '400', // what nginx says to plain HTTP on its TLS port
    rule: named(DEFAULT_RULE),
    isAllowed: false,
  },
];

const named = (rule: string): string => `${RULE.name}/${rule}`;

export type Outcome = {
  readonly sections: readonly Section[];
  /** What Podwall reported in the meantime, oldest first. */
  readonly threats: readonly Threat[];
};

export async function play(stage: Stage, say: Say): Promise<Outcome> {
  const clients = clientsOf(stage);
  const free: Row[] = [];
  for (const client of clients) free.push(await playFree(stage, client));
  say('five clients tried without a rule');
  await apply(stage, stage.manifest, say);
  const ruled: Row[] = [];
  for (const { name, endpoint, rule, command, answer, isAllowed } of clients) {
    const expected = isAllowed ? ({ kind: 'passes', answer } as const) : ({ kind: 'dropped' } as const);
    ruled.push(await playRuled(stage, { name, endpoint, rule, expected }, () => ask(stage, command)));
  }
  say('the same five clients tried under the rule');
  const changing = await playChange(stage, say);
  const sections = [
    { title: 'No rule', rows: free },
    { title: `Rule ${RULE.namespace}/${RULE.name} in force`, rows: ruled },
    { title: 'The rule changes while a client is connected', rows: changing },
  ];
  return { sections, threats: (await status(stage)).threats };
}

async function playFree(stage: Stage, { name, endpoint, command, answer }: Client): Promise<Row> {
  const completed = await ask(stage, command);
  const isFree = (await status(stage)) === NO_STATUS;
  const scenario = { name, endpoint, expected: { kind: 'passes', answer }, rule: NO_RULE } as const;
  return judge(scenario, completed, isFree ? NO_RULE : NOT_REPORTED);
}

async function playRuled(stage: Stage, scenario: Scenario, act: () => Promise<Completed>): Promise<Row> {
  const before = await status(stage);
  const completed = await act();
  const options = { timeoutMs: REPORT_TIMEOUT_MS, signal: stage.lab.signal };
  const rule = await poll(async () => decidingRule(RULE.name, scenario, before, await status(stage)), options);
  if (rule === undefined) return judge(scenario, completed, NOT_REPORTED);
  const log = await stage.podwall.agent.log();
  const isLogged = scenario.expected.kind === 'passes' || isInAgentLog(log, RULE.name, rule, scenario.endpoint);
  return judge(scenario, completed, isLogged ? rule : NOT_LOGGED);
}

async function playChange(stage: Stage, say: Say): Promise<Row[]> {
  const endpoint = { ip: MYSQL_IP, port: 3306 };
  const rule = named('mysql');
  const passes = { kind: 'passes', answer: '1' } as const;
  await using client = new Conversation(inside(stage.workload, mariadbClient(MYSQL_IP)));
  const select = (number: number) => client.ask(`SELECT ${number};`, CLIENT_TIMEOUT_MS, stage.lab.signal);
  const open = { name: 'MySQL connection, kept open', endpoint, rule, expected: passes };
  const first = await playRuled(stage, open, () => select(1));
  await apply(stage, withAction(stage.manifest, 'mysql', 'Deny'), say);
  const denied = { name: 'same connection, mysql now denied', endpoint, rule, expected: { kind: 'dropped' } } as const;
  const second = await playRuled(stage, denied, () => select(2));
  await apply(stage, stage.manifest, say);
  const allowed = { name: 'new connection, mysql allowed again', endpoint, rule, expected: passes };
  const third = await playRuled(stage, allowed, () => ask(stage, mariadbQuery(MYSQL_IP, 'SELECT 1')));
  return [first, second, third];
}

const ask = ({ lab, workload }: Stage, command: Command): Promise<Completed> =>
  lab.run(workload, command, { timeoutMs: CLIENT_TIMEOUT_MS });

const status = ({ podwall }: Stage): Promise<RuleStatus> => podwall.rules.status(RULE);

async function apply({ podwall }: Stage, manifest: string, say: Say): Promise<void> {
  const started = performance.now();
  const { programmedGeneration } = await podwall.rules.apply(RULE_FILE, manifest, RULE);
  const ms = Math.round(performance.now() - started);
  say(`rule ${RULE.namespace}/${RULE.name}, generation ${programmedGeneration}: Programmed after ${ms} ms`);
}
