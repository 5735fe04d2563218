export class Follow {
    /** @param {import('./place.js').Place} place @param {import('../types/contract.js').Listener} listener */
    constructor(place: import("./place.js").Place, listener: import("../types/contract.js").Listener);
    place: import("./place.js").Place;
    listener: import("../types/contract.js").Listener;
    run(): Promise<void>;
    stop(): void;
    /** Looks now. */
    wake(): void;
    #private;
}
export type Connection = import("../types/contract.js").Connection;
export type Way = "socket" | "events" | "poll";
