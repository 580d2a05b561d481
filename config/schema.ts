/**
 * Every key of `agent.toml`: its form, default, environment variable and meaning, each written here once. The type of the
 * configuration, `REFERENCE.md` and `agent.sample.toml` follow from it. Source: 05 §2, §3.
 */
import { field, type Infer, optionalSection, type Parser, section, type Surroundings } from "./field.ts";
import {
  address,
  agentId,
  bool,
  groupId,
  int,
  listOf,
  mapOf,
  nonEmptyPath,
  nonEmptyText,
  nullable,
  oneOf,
  optionalText,
  path,
  portRange,
  size,
  text,
  userId,
} from "./values.ts";

export const LOG_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "NOTSET"] as const;
const logLevel = oneOf(...LOG_LEVELS);
const logFormat = oneOf("simple", "verbose");

/** A standalone agent talks to this machine only. */
const LOOPBACK = "127.0.0.1";

export function defaultStateDir({ uid, home, environment }: Surroundings): string {
  if (uid === 0 || home === undefined) return "/var/lib/backendai-agent";
  return `${environment["XDG_STATE_HOME"] || `${home}/.local/state`}/backendai-agent`;
}

const stateDir: Parser<string> = {
  expects: path.expects,
  read: (value, surroundings) => path.read(value === "" ? defaultStateDir(surroundings) : value, surroundings),
};

export const SCHEMA = section({ doc: "" }, {
  etcd: section({ doc: "The cluster's configuration store; not used by a standalone agent." }, {
    namespace: field(nonEmptyText, {
      standalone: "local",
      env: "BACKEND_NAMESPACE",
      doc: "Separates clusters that share one etcd.",
    }),
    addr: field(address({ blankHost: false }), {
      default: "127.0.0.1:2379",
      env: "BACKEND_ETCD_ADDR",
      doc: "Client address of etcd, API version 3, without TLS.",
    }),
    user: field(optionalText, {
      default: "",
      env: "BACKEND_ETCD_USER",
      doc: "User name; empty: no authentication.",
    }),
    password: field(text, { default: "", env: "BACKEND_ETCD_PASSWORD", secret: true, doc: "Password of `user`." }),
  }),

  agent: section({ doc: "The agent itself." }, {
    mode: field(oneOf("docker", "k8s"), {
      standalone: "docker",
      doc: "What runs the kernels. Only `docker` exists; `k8s` is refused at start.",
    }),
    "rpc-listen-addr": field(address({ blankHost: true }), {
      default: ["", 6001],
      standalone: [LOOPBACK, 6001],
      env: { host: "BACKEND_AGENT_HOST_OVERRIDE", port: "BACKEND_AGENT_PORT" },
      doc:
        "Address that is bound and told to the manager. Blank host: found from the cloud, the subnet in etcd, or the " +
        "host name.",
    }),
    id: field(agentId, {
      default: "",
      standalone: "i-standalone",
      doc: "This agent's name in the cluster. Empty: the cloud's instance id, or `i-` and the host name.",
    }),
    region: field(optionalText, {
      default: "",
      doc: "Region told to the manager. Empty: the cloud's region, or `BACKEND_REGION`, or `local`.",
    }),
    "instance-type": field(optionalText, {
      default: "",
      doc: "Kind of machine, for the log only. Empty: the cloud's name for it, or `default`.",
    }),
    "scaling-group": field(nonEmptyText, {
      default: "default",
      doc: "Group of agents this one belongs to; the manager must know it.",
    }),
    "pid-file": field(path, {
      default: "/dev/null",
      env: "BACKEND_PID_FILE",
      doc: "File that holds the process id while the agent runs. Empty or `/dev/null`: none.",
    }),
    "event-loop": field(oneOf("asyncio", "uvloop"), {
      default: "asyncio",
      doc: "Accepted for files written for the Python agent; it has no meaning here.",
    }),
    "runner-dir": field(path, {
      default: "",
      doc: "Folder of the in-container runner, mounted read-only into every kernel. Empty: `build/runner` of this " +
        "installation.",
    }),
    "state-dir": field(stateDir, {
      default: "",
      doc: "Where the agent keeps what must survive it. Empty: `/var/lib/backendai-agent` for root, else " +
        "`backendai-agent` below `$XDG_STATE_HOME` or `~/.local/state`.",
    }),
  }),

  event: section({ doc: "How events and heartbeats reach the manager." }, {
    transport: field(oneOf("redis", "zeromq", "both"), {
      default: "redis",
      doc: "`redis`: lists and channels of the cluster's Redis. `zeromq`: pushed to the address in etcd's " +
        "`nodes/manager/event_addr`, without acknowledgement, so best effort.",
    }),
  }),

  container: section({ doc: "Kernels and their containers." }, {
    "kernel-uid": field(userId, {
      default: -1,
      doc:
        "User of everything in a kernel. -1: 1000 if the agent runs as root, else the agent's own. Only 0 gives root.",
    }),
    "kernel-gid": field(groupId, {
      default: -1,
      doc: "Group of everything in a kernel, chosen like `kernel-uid`.",
    }),
    "kernel-host": field(text, {
      default: "",
      standalone: LOOPBACK,
      env: "BACKEND_KERNEL_HOST_OVERRIDE",
      doc: "Address on which service ports are published and at which the manager reaches them. Empty: the subnet in " +
        "etcd, else the host of `rpc-listen-addr`.",
    }),
    "port-range": field(portRange, {
      default: [30000, 31000],
      env: "BACKEND_CONTAINER_PORT_RANGE",
      doc: "Host TCP ports leased to kernels, both ends included.",
    }),
    "stats-type": field(oneOf("docker", "cgroup"), {
      default: "docker",
      doc: "Accepted; this agent always reads the cgroup files. `cgroup` demands an agent that runs as root.",
    }),
    "sandbox-type": field(oneOf("docker", "jail"), {
      default: "docker",
      env: "BACKEND_SANDBOX_TYPE",
      doc: "Accepted; `jail` has no program in this agent.",
    }),
    "jail-args": field(listOf(nonEmptyText), { default: [], doc: "Accepted; see `sandbox-type`." }),
    "scratch-type": field(oneOf("hostdir", "memory"), {
      standalone: "hostdir",
      doc: "Where a kernel's private directory lives: on the disk of the host, or in its memory.",
    }),
    "scratch-root": field(nonEmptyPath, {
      default: "./scratches",
      standalone: (stateDir: string) => `${stateDir}/scratches`,
      env: "BACKEND_SCRATCH_ROOT",
      doc: "Holds one directory per kernel; made if missing.",
    }),
    "scratch-size": field(size, { default: "0", doc: "Accepted; scratch directories have no limit yet." }),
    "max-log-bytes": field(size, {
      default: "1M",
      doc: "How much of the end of a kernel's console `get_logs` returns.",
    }),
    "docker-host": field(text, {
      default: "",
      env: "DOCKER_HOST",
      doc: "Address of the Docker Engine, `unix://PATH` or `tcp://HOST:PORT`. Empty: `/run/docker.sock`, else " +
        "`/var/run/docker.sock`.",
    }),
  }),

  resource: section({ doc: "What is kept back from kernels." }, {
    "reserved-cpu": field(int(0), { default: 1, standalone: 0, doc: "Cores not offered to the manager." }),
    "reserved-mem": field(size, { default: "1G", standalone: "0", doc: "Memory not offered to the manager." }),
    "reserved-disk": field(size, { default: "8G", doc: "Accepted; there is no disk slot." }),
    "cpu-overcommit-factor": field(int(1, 64), {
      default: 1,
      env: "BACKEND_CPU_OVERCOMMIT_FACTOR",
      doc: "How many kernels may hold the same core.",
    }),
  }),

  debug: section({ doc: "For finding errors." }, {
    enabled: field(bool, { default: false, doc: "Prints the configuration at start. `--debug` sets it." }),
    "skip-container-deletion": field(bool, { default: false, doc: "Leaves dead containers for inspection." }),
    "log-stats": field(bool, { default: false, doc: "Logs every collection of statistics." }),
    "log-docker-events": field(bool, { default: false, doc: "Logs every event of the container engine." }),
    coredump: section({ doc: "Core dumps of user programs." }, {
      enabled: field(bool, { default: false, doc: "Collects core dumps. Linux only." }),
      path: field(nonEmptyPath, { default: "./coredumps", doc: "Where they are collected." }),
      "backup-count": field(int(1), { default: 10, doc: "Accepted; nothing is rotated." }),
      "size-limit": field(size, { default: "64M", doc: "Accepted; there is no limit." }),
    }),
  }),

  watcher: section({ doc: "The watcher's section; the agent only publishes the port.", foreign: true }, {
    "service-addr": field(nullable(address({ blankHost: false })), {
      default: null,
      env: { host: "BACKEND_WATCHER_SERVICE_IP", port: "BACKEND_WATCHER_SERVICE_PORT" },
      doc: "Address of the watcher. Given: the agent tells the manager its port. Absent: the manager takes 6009.",
    }),
    "ssl-enabled": field(bool, { default: false, doc: "Serve with TLS." }),
    "ssl-cert": field(optionalText, { default: "", doc: "Certificate file; empty: none." }),
    "ssl-key": field(optionalText, { default: "", aliases: ["ssl-privkey"], doc: "Private key file; empty: none." }),
    "target-service": field(text, { default: "backendai-agent.service", doc: "The agent's systemd unit." }),
    "soft-reset-available": field(bool, { default: false, doc: "Whether the unit can be reloaded." }),
  }),

  logging: section({ doc: "What is logged, and where to." }, {
    level: field(logLevel, { default: "INFO", doc: "Least level that is logged at all." }),
    "pkg-ns": field(mapOf(logLevel), {
      standalone: { "": "WARNING", "ai.backend": "INFO" },
      doc: 'Level by logger name. The agent\'s own loggers are below `"ai.backend"`; `""` is everything else.',
    }),
    drivers: field(listOf(oneOf("console", "file", "logstash")), {
      default: ["console"],
      doc: "Where records go. `file` and `logstash` need their sections.",
    }),
    console: section({ doc: "Standard error." }, {
      colored: field(bool, { default: true, doc: "Colours, if standard error is a terminal." }),
      format: field(logFormat, {
        default: "verbose",
        doc: "`simple`: level and message. `verbose`: also time, logger and process id.",
      }),
    }),
    file: optionalSection({ doc: "A log file of JSON lines. Not available yet: a warning says so." }, {
      path: field(nonEmptyPath, { doc: "Directory of the file." }),
      filename: field(nonEmptyText, { doc: "Name of the file." }),
      "backup-count": field(int(1, 100), {
        default: 5,
        env: "BACKEND_LOG_FILE_COUNT",
        doc: "Old files that are kept.",
      }),
      "rotation-size": field(size, { default: "10M", doc: "Size at which a new file begins." }),
      format: field(logFormat, { default: "verbose", doc: "Accepted; without meaning." }),
    }),
    logstash: optionalSection({ doc: "A Logstash server. Not available yet: a warning says so." }, {
      endpoint: field(address({ blankHost: false }), { doc: "Its address." }),
      protocol: field(oneOf("zmq.push", "zmq.pub", "tcp", "udp"), { default: "tcp", doc: "How it is spoken to." }),
      "ssl-enabled": field(bool, { default: true, doc: "TLS, for `tcp`." }),
      "ssl-verify": field(bool, { default: true, doc: "Check the server's certificate." }),
    }),
  }),
});

/** The whole configuration of the agent. */
export type AgentConfig = Infer<typeof SCHEMA>;
export type LoggingConfig = AgentConfig["logging"];
export type LogLevelName = (typeof LOG_LEVELS)[number];
