import { DatabaseSync } from "node:sqlite";

/** How long a call waits for another process that is writing, ms. The calls are synchronous: nothing else runs meanwhile. */
const BUSY_MS = 500;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS config (scope TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (scope, key)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, event TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS heartbeat (id INTEGER PRIMARY KEY CHECK (id = 1), at_ms INTEGER NOT NULL, info TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS statistics (key TEXT PRIMARY KEY, expires_at_ms INTEGER NOT NULL, metrics TEXT NOT NULL)
    WITHOUT ROWID;
`;

/** The values that the adapters of this folder bind and read. */
export type SqlValue = string | number;
export type SqlRow = Readonly<Record<string, unknown>>;

/**
 * One SQLite file (or `:memory:`) for everything that etcd, Redis and the manager hold otherwise. Other processes may
 * open the same file to read it.
 */
export class EmbeddedStore implements Disposable {
  readonly #database: DatabaseSync;

  /** Opens the file, and makes it if there is none; its folder must exist. @throws if it cannot be opened. */
  constructor(path: string) {
    this.#database = new DatabaseSync(path, { timeout: BUSY_MS });
    // With a write-ahead log readers and the writer do not wait for each other; NORMAL may lose the last transactions in
    // a power failure, and never the file.
    this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    this.#database.exec(SCHEMA);
  }

  /** All rows of a query. */
  all(sql: string, ...values: SqlValue[]): readonly SqlRow[] {
    return this.#database.prepare(sql).all(...values);
  }

  /** Returns the id of the row inserted last. */
  run(sql: string, ...values: SqlValue[]): number {
    return Number(this.#database.prepare(sql).run(...values).lastInsertRowid);
  }

  /** Runs `body` as a whole or, when it throws, not at all. */
  transaction(body: () => void): void {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      body();
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  /** Idempotent. */
  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close();
  }
}
