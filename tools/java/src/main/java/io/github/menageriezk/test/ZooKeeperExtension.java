package io.github.menageriezk.test;

import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ExtensionContext.Namespace;
import org.junit.jupiter.api.extension.ExtensionContext.Store.CloseableResource;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolutionException;
import org.junit.jupiter.api.extension.ParameterResolver;

/**
 * JUnit 5: parameters of type {@link TestingServer} get one server for all tests of a run, those of type
 * {@link TestingCluster} an ensemble of three for each test. Both are closed by themselves.
 */
public class ZooKeeperExtension implements ParameterResolver {
    private static final Namespace NAMESPACE = Namespace.create(ZooKeeperExtension.class);

    @Override
    public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
        Class<?> type = parameter.getParameter().getType();
        return type == TestingServer.class || type == TestingCluster.class;
    }

    @Override
    public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
        if (parameter.getParameter().getType() == TestingServer.class) {
            return context.getRoot().getStore(NAMESPACE)
                    .getOrComputeIfAbsent("server", key -> new Server(), Server.class).server;
        }
        return context.getStore(NAMESPACE)
                .getOrComputeIfAbsent("cluster", key -> new Cluster(), Cluster.class).cluster;
    }

    private static final class Server implements CloseableResource {
        private final TestingServer server;

        private Server() {
            try {
                server = new TestingServer();
            } catch (Exception e) {
                throw new ParameterResolutionException("no ZooKeeper server: " + e.getMessage(), e);
            }
        }

        @Override
        public void close() throws Throwable {
            server.close();
        }
    }

    private static final class Cluster implements CloseableResource {
        private final TestingCluster cluster = new TestingCluster(3);

        private Cluster() {
            try {
                cluster.start();
            } catch (Exception e) {
                throw new ParameterResolutionException("no ZooKeeper ensemble: " + e.getMessage(), e);
            }
        }

        @Override
        public void close() throws Throwable {
            cluster.close();
        }
    }
}
