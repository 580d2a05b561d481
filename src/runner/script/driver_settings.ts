/**
 * Variables that are set to start the driver's Deno, and that the driver takes away before user code runs. A
 * `package.json` of the user's must not keep it from starting.
 */
export const DRIVER_SETTINGS = ["DENO_NO_PACKAGE_JSON", "DENO_NO_UPDATE_CHECK", "DENO_DISABLE_NODE_SHIM"] as const;
