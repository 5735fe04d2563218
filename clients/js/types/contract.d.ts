/** What crosses the wire, as the contract (v1) has it. Fields not named here may come too. */

export type SaleState = 'scheduled' | 'open' | 'paused' | 'sold_out' | 'closed' | 'frozen';
export type EntryState =
  | 'waiting'
  | 'called'
  | 'standby'
  | 'reserved'
  | 'sold_out'
  | 'left'
  | 'expired'
  | 'refused';
export type Odds = 'sure' | 'likely' | 'unlikely' | 'gone';
export type OrderState =
  | 'awaiting_payment'
  | 'closing'
  | 'closed'
  | 'paid'
  | 'fulfilling'
  | 'fulfilled'
  | 'failed'
  | 'refunding'
  | 'refunded'
  | 'changing';

/** A text by language tag. */
export type Notice = Record<string, string>;

export interface Sku {
  sku: string;
  /** Price of one, in the currency's smallest unit. */
  amount_fen: number;
  currency: string;
  remaining: number;
  /** Of seated goods: where they call, in order. Leg `i` runs from stop `i` to stop `i + 1`. */
  stops?: string[];
  /** Of seated goods: free seats on each leg. On a stretch at most as many are free as on its fullest leg. */
  free_seats?: number[];
}

export interface Sale {
  sale: string;
  title: string;
  state: SaleState;
  opens_at: string | null;
  closes_at: string | null;
  /** The server's clock. */
  now: string;
  waiting: number;
  serving: number;
  rate_per_second: number;
  remaining: number;
  notice: Notice | null;
  skus: Sku[];
  stale?: boolean;
}

export interface Entry {
  entry: string;
  sale: string;
  state: EntryState;
  /** Only grows; what comes with an older one is ignored. */
  version: number;
  /** `null` where it stands by because the line was full: it has no number. */
  seq: number | null;
  /** 1 is next; `null` once it no longer waits, or stands by. */
  position: number | null;
  serving: number;
  eta_seconds: { p50: number; p90: number } | null;
  odds: Odds | null;
  poll_after_ms: number;
  token?: string;
  token_expires_at: string;
  order: string | null;
  pay_by?: string;
  reason?: string;
  /** The node that answered has not heard of the line for a while. */
  stale?: boolean;
  links: { self: string; push: string; order?: string };
}

/** How the line stands, to everybody in the sale. */
export interface Line {
  serving: number;
  waiting: number;
  rate_per_second: number;
  remaining: number;
  state: SaleState;
  notice: Notice | null;
  policy_version: number;
  at: string;
}

export interface Item {
  sku: string;
  quantity: number;
  /** Of seated goods: indexes into `stops`, `from` below `to`. */
  from?: number;
  to?: number;
}

export interface OrderItem {
  sku: string;
  quantity: number;
  /** Of seated goods, which have a line for each seat. */
  seat: string | null;
  from: number | null;
  to: number | null;
  amount_fen: number;
}

export interface Order {
  order: string;
  sale: string;
  entry: string;
  state: OrderState;
  version: number;
  items: OrderItem[];
  amount_fen: number;
  currency: string;
  pay_by: string;
  /** Why it is or was `closing`. */
  closing_cause?: 'deadline' | 'cancelled';
  /** `reason` is for people to read. */
  history: { state: OrderState; at: string; reason: string }[];
  ticket?: string;
}

export interface Payment {
  payment: string;
  pay_url: string;
  amount_fen: number;
  currency: string;
}

/** What takes a place to another device. */
export interface MoveOffer {
  /** Of the waiting page: `#move=` and the ticket. */
  link: string;
  ticket: string;
  expires_at: string;
  /** The link as a QR code, as SVG. */
  qr?: string;
}

export interface Join {
  items: Item[];
  contact?: { email?: string; phone?: string };
  locale?: string;
}

/** How news comes at the moment. */
export interface Connection {
  /**
   * `live`: by push. `polling`: by asking now and then. `reconnecting`: not just now. `offline`: this device has no
   * network. `limited`: asked too often. `unavailable`: the server says so.
   */
  state: 'live' | 'polling' | 'reconnecting' | 'offline' | 'limited' | 'unavailable';
  by: 'socket' | 'events' | 'poll';
  /** When it is tried again, in milliseconds from now, if that is known. */
  retryInMs?: number;
}

/** What a place tells whoever follows it. */
export interface Listener {
  /** The entry changed, or a fresh look at it came. `position` never rises, `version` never falls. */
  entry?(entry: Entry): void;
  line?(line: Line): void;
  order?(order: Order): void;
  connection?(connection: Connection): void;
  /**
   * The place cannot be proven here any more: its token is of no use and cannot be renewed. The problem's `code` is `moved` where
   * it was taken to another device.
   */
  lost?(problem: Error): void;
}

/** What is remembered of a place between visits. */
export interface Kept {
  entry: string;
  token: string;
  tokenExpiresAt: string;
  seen: number;
  version: number;
  /** The position at which the place was first seen, and the best since. */
  first: number | null;
  position: number | null;
  wasStandby: boolean;
  orderLink: string | null;
}

/** What a place is remembered in. */
export interface Keeper {
  read(): Kept | null;
  write(kept: Kept): void;
  clear(): void;
  /** Calls `changed` when another tab has written or cleared it; answers how to stop that. */
  watch(changed: (kept: Kept | null) => void): () => void;
}
