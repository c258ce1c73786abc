// What a member answers, of the description that it gives of itself (OpenAPI).  Nothing here touches a page.

/** Rows of a table for each protocol; names that stand for others are left out. */
export function protocolsOf(described) {
  const found = new Map(described.tags.map((it) => [it.name, { name: it.name, text: it.description, rows: [] }]));
  for (const [path, item] of Object.entries(described.paths)) {
    for (const [method, it] of Object.entries(item)) {
      if (method === "$ref") continue;
      const takes = (it.parameters ?? []).map((parameter) => parameter.name).join(", ");
      found.get(it.tags[0]).rows.push([method.toUpperCase(), path, takes, it.summary]);
    }
  }
  return [...found.values()];
}

/** Services of gRPC, each with its methods. */
export const servicesOf = (described) =>
  Object.entries(described["x-grpc-services"]).map(([name, methods]) => [name, methods.join(", ")]);
