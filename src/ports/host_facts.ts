/** An address of a local network interface. */
export interface InterfaceAddress {
  readonly interface: string;
  /** IPv4 or IPv6 literal without prefix length or zone. */
  readonly address: string;
}

/** Where this host runs, as far as that changes names and addresses. Source: 03 §6. */
export interface HostIdentity {
  readonly instanceId: string;
  readonly instanceType: string;
  readonly region: string;
  /** The host's own address according to its cloud; undefined on premise. */
  readonly address: string | undefined;
}

/** Facts about the machine the agent runs on. */
export interface HostFacts {
  readonly hostname: string;
  /** Processor architecture as `uname -m` prints it, e.g. `x86_64`. */
  readonly machine: string;
  /** User and group of this process. */
  readonly uid: number;
  readonly gid: number;
  /** Cloud or on-premise identity; each cloud metadata request is given up after 200 ms for the fallback of 03 §6. */
  identity(signal: AbortSignal): Promise<HostIdentity>;
  /** Local interface addresses in interface order. */
  addresses(): readonly InterfaceAddress[];
  /** First IPv4 address a host name resolves to; undefined if it does not resolve. */
  resolve(name: string): Promise<string | undefined>;
  /** Whether a TCP port could be bound at this moment. */
  canBind(address: string, port: number): boolean;
}
